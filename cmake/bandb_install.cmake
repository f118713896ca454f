# Install rules: the headers, the libraries with their exported targets, the programs and the pkg-config files.
