"""What the command line prints; nothing is computed here."""
