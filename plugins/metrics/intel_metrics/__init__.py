"""Metrics of trained InteL-VAEs: did the bias take, and is the model better for it?"""
