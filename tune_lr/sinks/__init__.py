"""Where reports go besides the experiment's folder: the tools that people already look at."""
