"""Who may pass: gates, doors, origins, the policy, whose rows."""
