"""What finished experiments say of the methods that made them: pure functions of values."""
