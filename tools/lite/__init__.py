"""Programs that wrote the data files of `imgsearch.encoders.lite`."""
