"""What keeps processes running and lets them talk: supervisor's parts, sockets, proxy."""
