"""Image models of timm."""
