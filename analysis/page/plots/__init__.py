"""The report's pictures, by subject: each function makes one Picture of plain values."""
