"""When a stream is decoded, and from which embedding: the policies, and what they rest on."""
