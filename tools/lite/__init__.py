"""Programs that generate the data files of `imgsearch.encoders.lite`."""
