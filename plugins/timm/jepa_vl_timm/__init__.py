"""Any timm backbone as a vision encoder."""
