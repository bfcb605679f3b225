"""What `%load_ext workbench` brings to a notebook: `%promql`, `%%promql`, `%sql`, `%%sql`, completion, bars, errors.

`magics` runs and shows, `completion` and `meaning` know names, `tables` and `chart` show an answer, `bar` shows that
something takes long, `faults` shows an error of ours in a line, `extension` ties them to IPython.
"""
