"""SMTP: letters over kept connections, MAIL, RCPT and DATA in one write where the service offers PIPELINING."""

from dispatcher.providers.smtp.provider import SmtpProvider

__all__ = ["SmtpProvider"]
