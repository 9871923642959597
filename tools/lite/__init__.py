"""What made the files of `imgsearch.encoders.lite`."""
