# Installation: filled by the packaging files.
