"""What shows that sagad keeps its promises; not shipped."""
