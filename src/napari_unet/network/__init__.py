"""The U-Net: architecture, model file and fast inference."""
