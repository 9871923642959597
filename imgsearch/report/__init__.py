"""Reports: contact sheets, HTML pages and SVG plots."""
