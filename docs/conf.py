"""Settings of the documentation site, which `make docs` builds with Sphinx."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parents[1])]

import al_loop  # noqa: E402

project = "al-loop"
author = "The al-loop maintainers"
copyright = author
version = release = al_loop.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "generated_reference",
    "mathml",
]
exclude_patterns = ["_build", "_extensions", "conf.py", "draw_loop.py", "execute_notebooks.py", "executed"]

# Pages
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests execute the notebooks and the snippets

# Reference of the Python interface
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_use_rtype = False

# Appearance
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "al-loop"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True
