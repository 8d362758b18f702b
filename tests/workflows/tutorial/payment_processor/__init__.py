"""The tutorial's package: a test puts the directory around it on sys.path, as an installed package would be."""
