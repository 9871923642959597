"""imgsearch in other programs' frameworks, a file and an extra each."""
