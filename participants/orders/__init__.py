"""Takes orders, and defines the saga that fulfils them."""
