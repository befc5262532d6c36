"""The service between the web page and the GPU: queue, job folders, the warm child process. No torch here."""
