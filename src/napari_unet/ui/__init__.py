"""The napari side: form -> options -> job -> event -> layer. The only place with Qt."""
