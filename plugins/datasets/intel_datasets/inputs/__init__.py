"""Which objects of other libraries are read? AnnData, and Hugging Face's data sets; neither library is imported."""
