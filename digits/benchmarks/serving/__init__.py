"""The running service under a load of HTTP requests, beside other servers."""
