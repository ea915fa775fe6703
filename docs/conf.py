"""How the docs are built: `make docs`."""

project = "cio_pipelines"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "cio_pipelines"
myst_heading_anchors = 3
# the word behind the three ticks is for readers; console sessions hold prompts that no lexer takes
suppress_warnings = ["misc.highlighting_failure"]
