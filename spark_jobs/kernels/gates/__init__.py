"""Lists that refuse a page: by its address, or by what must not be kept."""
