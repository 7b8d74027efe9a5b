"""Files and folders: read line by line or row by row, written whole or not at all."""
