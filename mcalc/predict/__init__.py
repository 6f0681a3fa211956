"""Networks of the record, used on images that they were not trained on."""
