"""Who somebody is: users, passwords, links, single sign-on, what is kept of changes."""
