"""One file a source; each reads text files and never runs or unpickles anything in them."""
