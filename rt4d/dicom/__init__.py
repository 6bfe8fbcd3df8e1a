"""DICOM in and out: series and 4D-CT (series, fourdct), structure sets (structures)."""
