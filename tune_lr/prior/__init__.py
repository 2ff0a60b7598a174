"""What past experiments teach, and how far the running one may trust it."""
