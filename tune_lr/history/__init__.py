"""History: reports of past experiments, whatever tool wrote them, in one schema."""
