"""The wire format that service and client share: requests, responses and problems."""
