"""``python -m imgsearch`` is the command line."""

from imgsearch.cli import main

if __name__ == "__main__":
    main()
