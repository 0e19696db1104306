"""Data sets for InteL-VAEs: digits, MNIST, the paper's synthetic sets, arrays, tables and image folders.

`intel_datasets.spec` holds the specs and imports neither torch nor any reader; every other module is one
reader, imported when its data are loaded. `intel_datasets.synthetic` also serves metrics: samples and exact
distances.
"""
