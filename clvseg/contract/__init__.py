"""The contractual case: a table of customers with a label, from rows to scores, segments and accuracy."""
