"""The napari user interface: three docks, a reader and a writer. Only here is Qt."""
