"""Every setting of Le Bureau: environment variables named LEBUREAU_*."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_home() -> Path:
    """The data folder of the XDG base directory specification (0.8), section 3."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "lebureau"


class Settings(BaseSettings):
    """The settings, read from the environment once at start.

    Sizes are in bytes, times in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="LEBUREAU_", extra="ignore")

    home: Path = Field(default_factory=_default_home)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    database_url: str | None = None
    admin_email: str | None = None
    admin_password: SecretStr | None = None
    provider: Literal["qemu", "proxmox", "fake"] = "qemu"
    debian_mirror: str | None = None
    extra_ca_file: Path | None = None
    master_key: SecretStr | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_listen: bool = False
    rate_limit: int = Field(default=200, ge=1)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    resume: bool = True
    boot_timeout: int = Field(default=900, ge=10)
    agent_timeout: int = Field(default=1200, ge=10)
    stop_timeout: int = Field(default=120, ge=1)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database: SQLite in the home folder unless told otherwise."""
        return self.database_url or f"sqlite+aiosqlite:///{self.home}/lebureau.db"

    @property
    def images_dir(self) -> Path:
        """Where golden images are kept."""
        return self.home / "images"

    @property
    def goldens_dir(self) -> Path:
        """Where the memories of golden machines are kept."""
        return self.home / "goldens"

    @property
    def snapshots_dir(self) -> Path:
        """Where the qemu provider keeps snapshots."""
        return self.home / "snapshots"

    @property
    def desktops_dir(self) -> Path:
        """Where the qemu provider keeps its machines."""
        return self.home / "desktops"

    @property
    def run_dir(self) -> Path:
        """Where sockets are: short, since a Unix socket path has 107 bytes at most (unix(7))."""
        return self.home / "run"

    def make_folders(self) -> None:
        """Create the home folder and what is in it, readable by nobody else."""
        for folder in (
            self.home,
            self.images_dir,
            self.goldens_dir,
            self.snapshots_dir,
            self.desktops_dir,
            self.run_dir,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)


@lru_cache
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings()
