"""How every shipped file was made."""
