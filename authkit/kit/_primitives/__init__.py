"""What differs between the two colours of the kit."""
