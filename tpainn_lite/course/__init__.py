"""What the lessons share, and what builds and checks them."""
