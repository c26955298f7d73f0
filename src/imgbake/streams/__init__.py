"""Image streams: named tags that point to exact images, and remember what they pointed to before."""
