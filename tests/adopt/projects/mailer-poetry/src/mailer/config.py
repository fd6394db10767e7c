from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    temporal_address: str = "localhost:7233"
    mail_queue: str = "mails"


settings = Settings()
