"""What runs behind the service in deploy/, and the check that a package really serves."""
