@echo -off
echo Hello from a directory that fatkit serves as a disk.
