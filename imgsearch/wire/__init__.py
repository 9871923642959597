"""The wire format of the service, used by service and client: requests, responses, problems."""
