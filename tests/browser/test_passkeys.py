"""A passkey in a real browser: made on a virtual device, then the only thing that opens the account."""

from __future__ import annotations

from playwright.sync_api import expect

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def test_a_passkey_is_added_and_opens_the_account_without_a_password(page, live_stack, account):
    """At localhost: browsers refuse passkeys to addresses that are numbers, and our page says so."""
    home = live_stack.url.replace("127.0.0.1", "localhost")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    made = device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})["authenticatorId"]

    page.goto(f"{home}/accounts/login/")
    page.get_by_label("Email").fill(account["login"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{home}/studio")
    page.goto(f"{home}/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name").fill("My telephone")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(f"{home}/accounts/2fa/webauthn/")
    expect(page.locator(".listing .name")).to_have_text("My telephone")
    expect(page.get_by_text("Opens your account by itself")).to_be_visible()

    page.context.clear_cookies()
    page.goto(f"{home}/accounts/login/?next=/keys")
    page.get_by_role("button", name="Use a passkey instead").click()
    page.wait_for_url(f"{home}/keys")

    page.context.clear_cookies()
    device.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": made})
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})  # another telephone
    page.goto(f"{home}/accounts/login/")
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_text("Nothing was done")).to_be_visible()

    page.goto(f"{live_stack.url}/accounts/login/")
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_text("Browsers allow passkeys only at an address with a name")).to_be_visible()
